century() {
  year=$1
  out=$((year + 99))
  out=$((out / 100))
  echo "$out"
}
