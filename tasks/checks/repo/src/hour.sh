hour() {
  n=$1
  out=yes
  if [ "$n" -lt 0 ] || [ "$n" -gt 23 ]; then
    out=no
  fi
  echo "$out"
}
