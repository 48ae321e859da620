longest() {
  best=$1
  for word in "$@"; do
    if [ "${#word}" -gt "${#best}" ]; then
      best=$word
    fi
  done
  echo "$best"
}
