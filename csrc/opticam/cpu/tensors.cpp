// New tensors for results; a large one asks for huge pages, where Linux leaves that to the program.
// For every operation: from 2 MiB on there is a whole page to ask for.
#include "tensors.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace opticam {

static void prefer_huge_pages([[maybe_unused]] const Tensor& tensor) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = uintptr_t(2) << 20;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(tensor.mutable_data_ptr());
  const uintptr_t end = begin + tensor.numel() * tensor.element_size();
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // advice: may fail
#endif
}

Tensor result(torch::headeronly::IntHeaderOnlyArrayRef sizes, ScalarType dtype, const Tensor& like,
              MemoryFormat format) {
  const Tensor tensor =
      torch::stable::empty(sizes, dtype, std::nullopt, like.device(), std::nullopt, format);
  prefer_huge_pages(tensor);
  return tensor;
}

}  // namespace opticam
