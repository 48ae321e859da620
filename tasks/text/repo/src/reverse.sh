reverse() {
  word=$1
  out=""
  while [ -n "$word" ]; do
    rest=${word#?}
    out="${word%"$rest"}$out"
    word=$rest
  done
  echo "$out"
}
