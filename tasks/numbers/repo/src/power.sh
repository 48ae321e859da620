power() {
  base=$1
  n=$2
  out=1
  i=0
  while [ "$i" -lt "$n" ]; do
    out=$((out * base))
    i=$((i + 1))
  done
  echo "$out"
}
