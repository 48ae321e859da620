pin() {
  word=$1
  out=no
  if [ "${#word}" -ge 4 ] && [ "${#word}" -le 6 ]; then
    out=yes
  fi
  echo "$out"
}
