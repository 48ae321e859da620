slots() {
  start=$1
  end=$2
  size=$3
  out=0
  while [ $((start + size)) -le "$end" ]; do
    out=$((out + 1))
    start=$((start + size))
  done
  echo "$out"
}
