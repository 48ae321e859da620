max() {
  best=$1
  for x in "$@"; do
    if [ "$x" -gt "$best" ]; then
      best=$x
    fi
  done
  echo "$best"
}
