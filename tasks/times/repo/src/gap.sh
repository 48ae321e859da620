gap() {
  end=$1
  start=$2
  out=$((start - end))
  if [ "$out" -lt 0 ]; then
    out=0
  fi
  echo "$out"
}
