share() {
  cents=$1
  n=$2
  out=$((cents / n))
  if [ $((cents % n)) -gt 0 ]; then
    out=$((out + 1))
  fi
  echo "$out"
}
