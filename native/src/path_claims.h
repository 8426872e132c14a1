#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace umvu {

// Takes the components of a path one after another: "//a/./b/" gives "a", ".", "b".
class Components {
 public:
  explicit Components(std::string_view path) : rest_(path) { Skip(); }

  bool Done() const { return rest_.empty(); }
  std::string_view Next() {
    const std::string_view component = rest_.substr(0, rest_.find('/'));
    rest_.remove_prefix(component.size());
    slash_ = !rest_.empty();
    Skip();
    return component;
  }
  // What follows the component taken last, without the slashes between.
  std::string_view Rest() const { return rest_; }
  // True when the component taken last was followed by a slash.
  bool SlashFollows() const { return slash_; }

 private:
  void Skip() { rest_.remove_prefix(std::min(rest_.find_first_not_of('/'), rest_.size())); }

  std::string_view rest_;
  bool slash_ = false;
};

// The paths on which a view has something to say, as a tree of components. A component "*" stands
// for any one.
class PathClaims {
 public:
  // How a canonical path lies to the claims.
  struct Position {
    // Length of the shortest leading part of the path that is claimed; npos when none is.
    size_t claimed = std::string_view::npos;
    // True when the path leads towards a claimed one, which is longer.
    bool above = false;
    // True when a component "*" took part in it.
    bool any = false;

    bool IsClaimed() const { return claimed != std::string_view::npos; }
  };

  // How a canonical path lies to the claims, looked at to its end.
  struct Depth {
    // Length of the shortest leading part of the path that is claimed; npos when none is.
    size_t claimed = std::string_view::npos;
    // Another claim lies further down on the path, or a component "*" may take part in it.
    bool more = false;
    // There are claims below the end of the path.
    bool below = false;
  };

  void Add(std::string_view prefix);
  bool Empty() const { return !root_.claimed && root_.children.empty(); }
  // `path` as for Find.
  Depth Measure(std::string_view path) const;
  // `path` begins with a slash and is normalised, except that "/" may also be written "".
  Position Find(std::string_view path) const;

 private:
  struct Node {
    bool claimed = false;
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
  };

  static void Search(const Node& node, std::string_view path, size_t at, bool any,
                     Position& position);

  Node root_;
};

}  // namespace umvu
