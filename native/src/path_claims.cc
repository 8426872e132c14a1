#include "path_claims.h"

#include <algorithm>

namespace umvu {

void PathClaims::Add(std::string_view prefix) {
  Node* node = &root_;
  for (Components parts(prefix); !parts.Done();) {
    std::unique_ptr<Node>& child = node->children[std::string(parts.Next())];
    if (!child) child = std::make_unique<Node>();
    node = child.get();
  }
  node->claimed = true;
}

PathClaims::Position PathClaims::Find(std::string_view path) const {
  Position position;
  Search(root_, path, 0, false, position);
  return position;
}

PathClaims::Depth PathClaims::Measure(std::string_view path) const {
  Depth depth;
  const Node* node = &root_;
  for (size_t at = 0;;) {
    if (node->claimed) {
      depth.more = depth.more || depth.claimed != std::string_view::npos;
      depth.claimed = std::min(depth.claimed, at);
    }
    if (at + 1 >= path.size()) break;
    const size_t end = std::min(path.find('/', at + 1), path.size());
    depth.more = depth.more || node->children.contains(std::string_view("*"));
    const auto child = node->children.find(path.substr(at + 1, end - at - 1));
    if (child == node->children.end()) return depth;
    node = child->second.get();
    at = end;
  }
  depth.below = !node->children.empty();
  return depth;
}

// `at` is the length of the part of `path` that led to `node`. Two branches are followed where both
// a name and
// "*" fit; the shorter claim wins, because a walk meets it first.
void PathClaims::Search(const Node& node, std::string_view path, size_t at, bool any,
                        Position& position) {
  if (node.claimed) {
    position.any = position.any || any;
    position.claimed = std::min(position.claimed, at);
    return;
  }
  if (at + 1 >= path.size()) {
    position.above = position.above || !node.children.empty();
    return;
  }
  const size_t end = std::min(path.find('/', at + 1), path.size());
  const auto named = node.children.find(path.substr(at + 1, end - at - 1));
  if (named != node.children.end()) Search(*named->second, path, end, any, position);
  const auto wild = node.children.find(std::string_view("*"));
  if (wild != node.children.end() && wild != named) Search(*wild->second, path, end, true, position);
}

}  // namespace umvu
