overlap() {
  a=$1
  b=$2
  c=$3
  d=$4
  out=no
  if [ "$a" -lt "$d" ] && [ "$c" -lt "$b" ]; then
    out=yes
  fi
  echo "$out"
}
