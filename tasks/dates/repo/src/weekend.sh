weekend() {
  day=$1
  out=no
  if [ "$day" -ge 6 ] && [ "$day" -le 7 ]; then
    out=yes
  fi
  echo "$out"
}
