key() {
  line=$1
  case "$line" in
    *=*) out=${line%%=*} ;;
    *) out=none ;;
  esac
  echo "$out"
}
