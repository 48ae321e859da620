square() {
  w=$1
  h=$2
  if [ "$w" -eq "$h" ]; then
    echo yes
  else
    echo no
  fi
}
