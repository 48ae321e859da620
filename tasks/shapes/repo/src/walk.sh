walk() {
  dx=$(($1 - $3))
  dy=$(($2 - $4))
  if [ "$dx" -lt 0 ]; then
    dx=$((0 - dx))
  fi
  if [ "$dy" -lt 0 ]; then
    dy=$((0 - dy))
  fi
  echo $((dx + dy))
}
