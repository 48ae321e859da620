factorial() {
  n=$1
  out=1
  i=2
  while [ "$i" -le "$n" ]; do
    out=$((out * i))
    i=$((i + 1))
  done
  echo "$out"
}
