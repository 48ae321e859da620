pad() {
  word=$1
  width=$2
  while [ "${#word}" -lt "$width" ]; do
    word="$word."
  done
  echo "$word"
}
