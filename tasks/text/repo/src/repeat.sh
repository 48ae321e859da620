repeat() {
  word=$1
  n=$2
  out=""
  i=0
  while [ "$i" -lt "$n" ]; do
    out="$out$word"
    i=$((i + 1))
  done
  echo "$out"
}
