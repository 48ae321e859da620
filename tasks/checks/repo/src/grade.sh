grade() {
  n=$1
  if [ "$n" -ge 90 ]; then
    echo A
  elif [ "$n" -ge 70 ]; then
    echo B
  else
    echo C
  fi
}
