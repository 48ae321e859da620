evens() {
  out=0
  for x in "$@"; do
    if [ $((x % 2)) -eq 0 ]; then
      out=$((out + 1))
    fi
  done
  echo "$out"
}
