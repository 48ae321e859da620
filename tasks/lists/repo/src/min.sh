min() {
  best=$1
  for x in "$@"; do
    if [ "$x" -lt "$best" ]; then
      best=$x
    fi
  done
  echo "$best"
}
