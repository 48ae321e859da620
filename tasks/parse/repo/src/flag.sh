flag() {
  word=$1
  out=no
  case "$word" in
    --*) out=long ;;
    -*) out=short ;;
  esac
  echo "$out"
}
