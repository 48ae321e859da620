same() {
  want=$1
  shift
  out=yes
  for x in "$@"; do
    if [ "$x" != "$want" ]; then
      out=no
    fi
  done
  echo "$out"
}
