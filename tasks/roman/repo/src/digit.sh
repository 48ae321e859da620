digit() {
  case "$1" in
    I) echo 1 ;;
    V) echo 5 ;;
    X) echo 10 ;;
    L) echo 50 ;;
    *) echo 0 ;;
  esac
}
