clock() {
  n=$1
  h=$((n / 60))
  m=$((n % 60))
  echo "$h:$m"
}
