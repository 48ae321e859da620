collatz() {
  n=$1
  if [ $((n % 2)) -eq 0 ]; then
    n=$((n / 2))
  else
    n=$((n * 3 + 1))
  fi
  echo "$n"
}
