join() {
  by=$1
  shift
  out=$1
  shift
  for word in "$@"; do
    out="$out$by$word"
  done
  echo "$out"
}
