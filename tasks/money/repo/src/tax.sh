tax() {
  cents=$1
  rate=$2
  out=$((cents * rate))
  out=$((out + 50))
  echo $((out / 100))
}
