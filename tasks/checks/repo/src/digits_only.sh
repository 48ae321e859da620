digits_only() {
  word=$1
  out=yes
  case "$word" in
    "" | *[!0-9]*) out=no ;;
  esac
  echo "$out"
}
