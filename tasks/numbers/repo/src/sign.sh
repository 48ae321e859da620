sign() {
  n=$1
  out=0
  if [ "$n" -gt 0 ]; then
    out=1
  fi
  if [ "$n" -lt 0 ]; then
    out=-1
  fi
  echo "$out"
}
