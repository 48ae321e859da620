spread() {
  low=$1
  high=$1
  for x in "$@"; do
    if [ "$x" -lt "$low" ]; then
      low=$x
    fi
    if [ "$x" -gt "$high" ]; then
      high=$x
    fi
  done
  echo $((high - low))
}
