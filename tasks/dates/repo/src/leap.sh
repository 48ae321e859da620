leap() {
  year=$1
  out=no
  if [ $((year % 4)) -eq 0 ]; then
    out=yes
  fi
  if [ $((year % 100)) -eq 0 ]; then
    out=no
  fi
  if [ $((year % 400)) -eq 0 ]; then
    out=yes
  fi
  echo "$out"
}
