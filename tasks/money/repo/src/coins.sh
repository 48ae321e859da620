coins() {
  n=$1
  out=0
  for coin in 10 5 1; do
    while [ "$n" -ge "$coin" ]; do
      n=$((n - coin))
      out=$((out + 1))
    done
  done
  echo "$out"
}
