#ifndef ECHOFORGE_CREW_H_
#define ECHOFORGE_CREW_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

namespace tfnodejs {

// Runs the parts of one call at a time on threads of its own; a second caller does all parts of its call itself.
class Crew {
 public:
  explicit Crew(int size);
  // Calls part(0) to part(size() - 1), in any order, and returns when all are done.
  void Run(const std::function<void(int)> &part);
  // Calls work(from, to) for stretches of [0, count) that together cover it: one for each thread, a single one where there is
  // too little work, counted in values of which each item has `values`.
  void Split(int64_t count, int64_t values, const std::function<void(int64_t, int64_t)> &work);
  // As many as the library has threads within an op. The parts of a sum, and so its bits, follow from this number.
  int size() const { return size_; }

 private:
  void Work(int i);

  const int size_;
  std::mutex callers_, mutex_;
  std::condition_variable begin_, done_;
  const std::function<void(int)> *part_ = nullptr;
  int left_ = 0;
  uint64_t round_ = 0;
};

Crew &TheCrew();

}  // namespace tfnodejs

#endif  // ECHOFORGE_CREW_H_
