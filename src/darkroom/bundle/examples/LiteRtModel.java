package com.example.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.Map;
import org.tensorflow.lite.Interpreter;

/**
 * Asks @TFLITE@ with LiteRT. In build.gradle:
 * implementation 'com.google.ai.edge.litert:litert:1.+', and androidResources { noCompress 'tflite' }.
 * One tensor at a time; not for several threads at once.
 */
public final class LiteRtModel implements AutoCloseable {
    private final Interpreter interpreter;

    /** @param file the model, mapped or read into a direct buffer in the order of the machine */
    public LiteRtModel(ByteBuffer file, int threads) {
        interpreter = new Interpreter(file, new Interpreter.Options().setNumThreads(threads));
    }

    /** @param tensor of Preprocessing
     *  @return @RETURNED@ */
    public float[] probabilities(byte[] tensor) {
        ByteBuffer image = ByteBuffer.allocateDirect(tensor.length).order(ByteOrder.nativeOrder());
        image.put(tensor).rewind();
        FloatBuffer answer = ByteBuffer.allocateDirect(4 * @OUTPUTS@)
                .order(ByteOrder.nativeOrder()).asFloatBuffer();
        Map<Integer, Object> outputs = new HashMap<>();
        outputs.put(interpreter.getOutputIndex("probabilities"), answer);
        interpreter.runForMultipleInputsOutputs(new Object[] {image}, outputs);
        float[] probabilities = new float[@OUTPUTS@];
        answer.rewind();
        answer.get(probabilities);
        return probabilities;
    }

    @Override
    public void close() {
        interpreter.close();
    }
}
