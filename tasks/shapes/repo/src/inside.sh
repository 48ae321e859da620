inside() {
  x=$1
  size=$2
  out=no
  if [ "$x" -ge 0 ] && [ "$x" -lt "$size" ]; then
    out=yes
  fi
  echo "$out"
}
