#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fast_tree.h"
#include "path_claims.h"
#include "path_resolver.h"

namespace umvu {

// What a view has to say about paths, until its mounts or rules change.
struct ViewPaths {
  PathClaims claims;
  std::vector<PathResolver::Origin> origins;
  // By target, those whose answers need no JavaScript.
  std::map<std::string, std::shared_ptr<const FastTree>, std::less<>> trees;
};

// Those of a PathTable object of JavaScript.
std::shared_ptr<const ViewPaths> ViewPathsOf(const Napi::Value& table);

}  // namespace umvu
