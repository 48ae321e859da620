longer() {
  a=$1
  b=$2
  if [ "${#a}" -ge "${#b}" ]; then
    echo "$a"
  else
    echo "$b"
  fi
}
