above() {
  limit=$1
  shift
  out=0
  for x in "$@"; do
    if [ "$x" -gt "$limit" ]; then
      out=$((out + 1))
    fi
  done
  echo "$out"
}
