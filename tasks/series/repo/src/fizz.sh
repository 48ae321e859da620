fizz() {
  n=$1
  out=$n
  if [ $((n % 3)) -eq 0 ]; then
    out=fizz
  fi
  if [ $((n % 5)) -eq 0 ]; then
    out=buzz
  fi
  echo "$out"
}
