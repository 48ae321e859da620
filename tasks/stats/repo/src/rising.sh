rising() {
  last=$1
  out=yes
  for x in "$@"; do
    if [ "$x" -lt "$last" ]; then
      out=no
    fi
    last=$x
  done
  echo "$out"
}
