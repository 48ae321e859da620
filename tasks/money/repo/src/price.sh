price() {
  cents=$1
  whole=$((cents / 100))
  rest=$((cents % 100))
  echo "$whole.$rest"
}
