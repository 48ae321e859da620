clamp() {
  n=$1
  low=$2
  high=$3
  if [ "$n" -lt "$low" ]; then
    n=$low
  fi
  if [ "$n" -gt "$high" ]; then
    n=$high
  fi
  echo "$n"
}
