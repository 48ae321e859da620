plural() {
  n=$1
  word=$2
  if [ "$n" -ne 1 ]; then
    word="${word}s"
  fi
  echo "$n $word"
}
