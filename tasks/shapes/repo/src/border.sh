border() {
  w=$1
  h=$2
  out=$((w + h))
  out=$((out * 2))
  echo "$out"
}
