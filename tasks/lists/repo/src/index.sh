index() {
  want=$1
  shift
  i=0
  for x in "$@"; do
    if [ "$x" = "$want" ]; then
      echo "$i"
      return
    fi
    i=$((i + 1))
  done
  echo -1
}
