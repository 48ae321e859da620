mean() {
  out=0
  for x in "$@"; do
    out=$((out + x))
  done
  echo $((out / $#))
}
