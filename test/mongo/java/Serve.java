import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;
public class Serve {
  public static void main(String[] a) throws Exception {
    MemoryBackend b = new MemoryBackend();
    b.version(new MongoVersion() {
      public List<Integer> getVersionArray() { return List.of(5, 0, 0, 0); }
      public int getWireVersion() { return 13; }
    });
    new MongoServer(b).bind("127.0.0.1", Integer.parseInt(a[0]));
    Thread.currentThread().join();
  }
}
